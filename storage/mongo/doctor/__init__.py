"""Is this MongoDB database, its server and its URL fit to keep money in?"""
