"""Two small HTTP systems and the story that `crudsd demo` tells with them."""
