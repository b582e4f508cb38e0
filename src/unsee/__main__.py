"""`python -m unsee`."""

from unsee.cli import main

raise SystemExit(main())
