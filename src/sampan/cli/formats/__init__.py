"""What commands print: tables, Go templates, JSON, and numbers the way people read them."""
