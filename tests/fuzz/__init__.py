"""What is fuzzed: Hypothesis brings inputs with every test run, atheris for as long as it is let."""
