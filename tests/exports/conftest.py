"""Nothing here may ask the Hub: it must be said before huggingface_hub is first imported."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
