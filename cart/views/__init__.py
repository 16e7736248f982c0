"""The pages of the cart (`basket`) and of the lists a customer keeps (`lists`)."""
