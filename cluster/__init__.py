"""Files to run crater-ray on many machines, and the program that checks them."""
