"""Does the store agree with the mint and with itself?"""
