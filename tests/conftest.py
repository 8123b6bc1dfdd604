"""What every test may ask for. Imports nothing of the server: the model layer's tests run without it."""

pytest_plugins = (
    "tests.figures",
    "tests.servers",
    "tests.studios",
    "tests.databases",
    "tests.benches",
    "tests.doorbells",
    "tests.object_store",
)
