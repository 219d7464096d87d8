"""
Who may read what: primitives on texts and events, which know neither records nor files.
"""
