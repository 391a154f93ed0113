from hypothesis import settings

# The machine may be busy, so no example has a deadline; nothing is kept between runs.
settings.register_profile("millhand", deadline=None, database=None, print_blob=True)
settings.load_profile("millhand")
