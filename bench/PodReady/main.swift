print("podready")
