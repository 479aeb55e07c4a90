"""Results as a page, as tables and as a spreadsheet."""
