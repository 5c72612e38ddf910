"""The core: values, formulas and contracts. No files, sockets, clocks or threads here."""
