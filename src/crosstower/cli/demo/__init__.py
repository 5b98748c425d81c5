"""`crosstower demo`: a funnel of holiday homes with its page, or a tour of all stages."""
