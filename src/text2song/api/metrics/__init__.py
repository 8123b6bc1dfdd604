"""Numbers for Prometheus: what this process answers, and how the whole studio stands.

What is counted (requests, errors, seconds) is of this process alone: scrape each process of the API by its
own address, and sum. What stands in the database is of the whole studio, the same from every process: take
the largest, or ask one.
"""
