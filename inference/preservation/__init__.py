"""What is left for others: HEPData submissions, and specifications that rerun an analysis on REANA or in RECAST."""
