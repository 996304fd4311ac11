"""What must hold, named so that a failure reads as a sentence."""
