/* burst MIB MS: touch so much memory, hold it for so long, give it back. */
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 3)
        return 2;
    size_t bytes = (size_t)atol(words[1]) << 20;
    volatile char *memory = malloc(bytes); /* volatile: or the compiler leaves all of it out */
    if (!memory)
        return 1;
    for (size_t at = 0; at < bytes; at += 4096)
        memory[at] = 1;
    usleep((useconds_t)atol(words[2]) * 1000);
    free((void *)memory);
    return 0;
}
