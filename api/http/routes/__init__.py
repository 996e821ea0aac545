"""The operations, by what they are about: each makes a call and renders the answer."""
