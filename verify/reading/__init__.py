"""Other people's models as nets: PNML and BPMN 2.0. Start with `files.py`."""
