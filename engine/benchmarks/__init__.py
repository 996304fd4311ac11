"""What the API costs, beside its peers. Run in the house of the sample, whatever the current directory."""

import os
import sys

from tests.processes import SAMPLE

os.chdir(SAMPLE)
sys.path.insert(0, str(SAMPLE))
