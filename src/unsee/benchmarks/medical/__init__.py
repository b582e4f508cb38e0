"""Medical visual question answering: tables of a user's files, and harm woven into them so that it can be unlearned."""
