"""The family tests import torchvision, which other tests must not see: processors then choose another backend."""

from __future__ import annotations

import test_only_torchvision

test_only_torchvision.install()
