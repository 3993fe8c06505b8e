"""What is installed for a project's own suite: the project itself, and what its tests need.

metadata   what a project says of itself, read without running any of its code
lines      the lines of requirements files, of tox.ini and of a noxfile
choice     which of it is installed, and why (pure)
version    the version of a project that asks its version control for it
output     what a failed installation said
make       the script that builds the project and puts it in place, where its cells run
host       environments of this host, and the wheel of a project by one of its interpreters
"""

from bench.matrix.install.choice import NOTHING, Asked, Checkout, Install, choose
from bench.matrix.install.output import NotInstalled
from bench.matrix.install.version import described

__all__ = ["NOTHING", "Asked", "Checkout", "Install", "NotInstalled", "choose", "described"]
