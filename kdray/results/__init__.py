"""What a trial leaves behind: frozen records, and the folder of a sweep that holds them."""
