"""Where sessions are kept between their rows: in memory, a row of columns per slot."""
