"""Our encoder where other libraries look for one. Each module needs the library that it is named after."""
