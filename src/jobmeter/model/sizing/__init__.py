"""What a job should request, learned from what its runs used: begin reading in `advise`."""
