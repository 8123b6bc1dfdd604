"""A studio as a folder of plain files: taken while it runs, checked, and put back.

Rows are JSON lines, the same from every database; blobs are the files that they are. So a backup moves
between SQLite and PostgreSQL and between folders and S3, and can be read without the studio.
"""
