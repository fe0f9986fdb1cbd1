"""False alarms: how many blanks, and how many craters, are to be expected from a score on, foil by foil."""
