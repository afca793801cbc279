"""Where sessions are kept between their rows."""
