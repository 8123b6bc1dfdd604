"""The command line: the third edge beside API and worker. Imports little, so that help is there at once."""
