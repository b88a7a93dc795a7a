"""Debug mode finds a leak that only wrong input shows. Run with HPY_DEBUG=1."""

import leaky_json

from hpy.debug import LeakDetector

TEXT = '{"name": "Aruba", "alpha_3": "ABW", "numeric": "533"}'

with LeakDetector():
    leaky_json.loads(TEXT)  # right input: every handle is closed
    for broken in (TEXT.replace('"numeric":', '"numeric"'), TEXT.replace('"name":', '"name"')):
        try:
            leaky_json.loads(broken)
        except leaky_json.JSONDecodeError as error:
            print("refused, as it should be:", error)
