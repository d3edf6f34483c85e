"""One runner for tables of runs: networks x losses x folds x seeds, each trained once and never twice.

Import from the modules: `arguments` has the command lines, `launch` starts and ends a program, an `Experiment` says
what is special to a recipe, `networks` builds what is trained, and `runner.run_table` trains what is not done yet and
reports all of it, for images, texts, sounds and tables alike.
"""
