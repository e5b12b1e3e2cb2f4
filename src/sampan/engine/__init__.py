"""Docker's verbs over the parts."""
