"""Turn histograms into results: templates, workspace, fit, ranking, yields, and their tables and figures.

Nothing is imported here: pyhf and cabinetry take seconds to import, and working out cache keys needs neither.
Take what you need from its module (``inference.templates``, ``inference.workspace``, ``inference.fit``, …).
"""
