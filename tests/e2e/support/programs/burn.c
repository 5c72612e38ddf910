/* burn MS: use so much CPU time. */
#include <stdlib.h>
#include "burn.h"

int main(int count, char **words) {
    if (count != 2)
        return 2;
    burn_ms(atol(words[1]));
    return 0;
}
