"""What is found out by trying: networks damaged, watched while they learn, trained by the dozen."""
