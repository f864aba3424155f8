"""The paper's Tables 2 to 8 and Figure 4 from stored results: plain data in, plain tables out.

Nothing is trained, scored or read here: stages/experiment.py collects, render.py makes text of it.
"""
