"""The embedded default: five small real teachers, their frozen data and the registry that distils them."""
