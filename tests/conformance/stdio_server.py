"""The product's server over stdio, as a client's configuration starts it."""

import sys

from streamlit_app.mcp_server import main

if __name__ == "__main__":
    sys.exit(main(["--stdio"]))
