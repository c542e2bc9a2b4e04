"""The claims of arXiv 2410.02176, a file each, and what they are judged by."""
