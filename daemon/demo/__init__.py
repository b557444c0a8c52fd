"""Two real HTTP systems on loopback, and the story that `crudsd demo` tells with them."""
