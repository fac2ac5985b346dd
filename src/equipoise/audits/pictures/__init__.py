"""What the pictures of an audit show, as plain records."""
