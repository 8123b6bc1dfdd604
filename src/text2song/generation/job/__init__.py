"""What a worker does with generation jobs: draw, render, measure, store, write the row.

A row is one take in the making. The worker's thread has the model bring all rows on, frame by frame, and
begins others where there is room (`stint`); a thread beside it saves what is finished (`saver`, `keeping`).
"""
