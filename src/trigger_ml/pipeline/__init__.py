"""What runs when: stages of an experiment, their order, and the work of each."""
