"""What the tests share: the staged tree, compiling of extensions, child processes."""
