"""A benchmark of single facts made from a user's own pictures, questions and answers."""
