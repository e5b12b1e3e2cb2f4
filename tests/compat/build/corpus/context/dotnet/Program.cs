Console.WriteLine("hello from dotnet");
