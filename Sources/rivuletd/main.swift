print("rivuletd")
