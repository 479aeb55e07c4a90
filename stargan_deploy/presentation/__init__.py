"""Everything that draws or words a report."""
