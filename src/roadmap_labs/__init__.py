"""roadmap-labs: hands-on labs for backend engineers, on real servers, judged from outside."""

__version__ = "0.1.0"
