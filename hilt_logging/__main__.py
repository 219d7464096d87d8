"""
`python -m hilt_logging` is `hilt-log`.
"""

import sys

from .cli import main


sys.exit(main())
